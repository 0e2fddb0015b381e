//! A log moved, backed up and given back: the same history each time, whenever it is stopped in the middle.

#![cfg(test)]

mod backups;
mod copies;
mod given;
