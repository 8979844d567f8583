"""What PASS must also survive: days left out, predictions or labels missing, and what is too good to be true."""
