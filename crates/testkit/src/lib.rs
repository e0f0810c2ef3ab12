//! For tests only: a server on port 0, actors who call it, sockets that wait for events, real databases.
