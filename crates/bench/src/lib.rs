//! The load generator and the floors that the product is measured against.
