"""How long the commands take and how much memory, beside the floors and Terraform: `make bench`."""
