//! The composition root: a library that wires everything, and the chatsdk binary.
