"""The deployment file: its schema, its loading and its error messages. Imported by all that act on a deployment."""
