"""The documentation: generated pages, links, the built site, the examples."""
