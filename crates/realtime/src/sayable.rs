//! What can be said in JSON.
//!
//! What a host says of a client, and what clients say that speak Protobuf, are any bytes. A client that speaks JSON is
//! told the rest: nobody must be able to disconnect others by what stands beside his name.

use std::sync::Arc;

use chatsdk_protocol::{ClientInfo, Payload, Publication};

fn is_sayable(payload: &Payload) -> bool {
    payload.is_empty() || payload.is_json()
}

/// `info` without what is not JSON.
pub(crate) fn info(info: &Arc<ClientInfo>) -> Arc<ClientInfo> {
    if is_sayable(&info.conn_info) && is_sayable(&info.chan_info) {
        return Arc::clone(info);
    }
    let sayable = |payload: &Payload| Some(payload.clone()).filter(is_sayable);
    Arc::new(ClientInfo {
        user: Arc::clone(&info.user),
        client: Arc::clone(&info.client),
        conn_info: sayable(&info.conn_info).unwrap_or_default(),
        chan_info: sayable(&info.chan_info).unwrap_or_default(),
    })
}

/// Takes out of `publication` what its publisher's info holds that is not JSON.
pub(crate) fn tidy(publication: &mut Publication) {
    if let Some(publisher) = &mut publication.info {
        *publisher = info(publisher);
    }
}
