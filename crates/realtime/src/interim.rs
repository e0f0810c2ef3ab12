pub(crate) mod filter {
    use chatsdk_protocol::FilterNode;
    use chatsdk_protocol::object::Tags;
    #[derive(Debug, Clone)]
    pub(crate) struct Filter;
    impl Filter {
        pub(crate) fn compile(_: &FilterNode<'_>) -> Result<Self, ()> {
            Ok(Self)
        }
        pub(crate) fn matches(&self, _: &Tags) -> bool {
            true
        }
    }
}
pub(crate) mod fossil {
    pub(crate) fn create(_: &[u8], after: &[u8]) -> Vec<u8> {
        after.to_vec()
    }
}
