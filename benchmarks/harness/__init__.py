"""Load generator, servers, models and reports that the measurements share."""
