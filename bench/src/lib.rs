//! What linchpin's speed is measured against: the parts that it is put together from, each alone.

pub mod extract;
pub mod hot;
pub mod made;
pub mod parse;
pub mod paths;
pub mod rows;
pub mod timing;
