//! The generated messages of `proto/rescind/v1`. They never leave this crate.

#![expect(unreachable_pub, reason = "generated; the comments stand in the .proto file")]

include!(concat!(env!("OUT_DIR"), "/rescind.v1.rs"));
