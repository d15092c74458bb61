"""Everything that touches Pyro4: the wire, daemons, channels, the name server, and what makes a process of them."""
