"""The verbs, with a mouse: a server on this machine alone, and the pages it shows."""
