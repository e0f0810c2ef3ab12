//! A Centrifuge engine that knows no chat: connections, hub, transports.
