"""The documentation site: Markdown pages, and the code that generates its reference pages."""
