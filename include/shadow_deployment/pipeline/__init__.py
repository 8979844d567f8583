"""One day of a deployment, a file for each step, in the order that steps.py gives; imported by promotion and above."""
