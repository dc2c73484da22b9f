"""HTTP around the routes: schemas, errors, access, request bounds and responses."""
