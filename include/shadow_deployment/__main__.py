"""`python -m shadow_deployment` does what `shadow` does."""

from shadow_deployment.cli.main import main

main()
