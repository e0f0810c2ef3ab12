//! `rpc`: a question of the application's own.

use chatsdk_protocol::ReplyBody;
use chatsdk_protocol::command::RpcRequest;
use chatsdk_protocol::reply::RpcResult;

use crate::authority::{Authority, Denial, Identity};
use crate::commands::Session;

impl<A: Authority> Session<A> {
    pub(super) async fn rpc(
        &self,
        identity: &Identity,
        request: &RpcRequest<'_>,
    ) -> Result<ReplyBody, Denial> {
        let caller = self.caller(identity);
        let answer = self
            .engine
            .authority()
            .rpc(caller, &request.method, request.data);
        Ok(RpcResult {
            data: answer.await?,
        }
        .into())
    }
}
