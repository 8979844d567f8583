"""`context`."""

from shadow_deployment.cli.main import main

main()
