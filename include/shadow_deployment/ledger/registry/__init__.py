"""Champions: promotions, rollbacks, and the requests for approval before them."""
