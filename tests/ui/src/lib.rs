//! The module of `specs/user.yaml`, for the cases of the compile-fail tests.

amgi::include_api!("user");
