//! A real browser as a client: Chromium loads a test page from the origin that a probe names, and
//! the page calls with the gRPC-Web clients of the npm packages `grpc-web` and
//! `@connectrpc/connect-web`.

pub mod chrome;
pub mod page;
pub mod serve;
