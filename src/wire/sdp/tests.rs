//! Descriptions as browsers and libraries write them.
