"""Start, watch and stop the processes of one machine: `labelqueue up`."""
