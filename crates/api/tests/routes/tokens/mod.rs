mod introspect;
mod mint;
mod refresh;
mod revoke;
