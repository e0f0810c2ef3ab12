mod ban;
mod revoke;
mod sessions;
