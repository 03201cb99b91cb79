//! Reasons that travel as one byte each.

/// A byte that stands for no reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[error("the unknown reason {0}")]
pub struct UnknownReason(pub u8);

/// Declares an enum of reasons, each with its byte and its words.
macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
        pub enum $name {
            $($(#[$variant_doc])* #[error($text)] $variant = $code,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The reason that a byte stands for.
            ///
            /// # Errors
            /// The byte, if it stands for none.
            pub fn from_code(code: u8) -> Result<Self, $crate::wire::reason::UnknownReason> {
                let found = Self::ALL.iter().copied().find(|reason| *reason as u8 == code);
                found.ok_or($crate::wire::reason::UnknownReason(code))
            }
        }
    };
}

pub(crate) use reasons;
