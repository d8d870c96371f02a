"""One module a peer, all with the command line of `protocol.main`."""
