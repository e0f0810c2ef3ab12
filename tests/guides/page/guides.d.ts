// The programs of the guides, where the test has written them. They are compiled by types.test.ts.
declare module '@guides/*';
