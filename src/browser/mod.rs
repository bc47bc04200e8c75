//! A real browser as client: Chromium loads a page of ours from the origin that a probe names, and
//! the page calls by the gRPC-Web clients that the npm packages `grpc-web` and
//! `@connectrpc/connect-web` are.

pub mod chrome;
pub mod page;
pub mod serve;
