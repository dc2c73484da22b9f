"""The pages for browsers: the playground at ``/`` and the API reference at ``/docs``.

Plain HTML, CSS and ES modules, served as they are. Swagger UI is vendored in ``api_reference``.
"""
