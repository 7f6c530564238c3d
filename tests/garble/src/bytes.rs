//! What can happen to the bytes of a body.

use proptest::prelude::*;
use proptest::sample::Index;

/// What happens to bytes.
#[derive(Debug, Clone)]
pub(crate) enum Bytes {
    /// Nothing.
    AsTheyAre,
    /// They end early.
    Cut(Index),
    /// Others are among them.
    With(Index, Vec<u8>),
    /// Some are missing.
    Without(Index, usize),
    /// They are others altogether.
    Others(Vec<u8>),
}

impl Bytes {
    /// Any of it; nothing, most of the time.
    pub(crate) fn any() -> impl Strategy<Value = Self> {
        let strange = prop::sample::select(vec![
            &b"\xff"[..],
            b"\xc3",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xef\xbb\xbf",
            b"\0",
            b"\"",
            b"}",
            b"]",
            b",",
            b"\\",
            b"\\u",
            b"//",
            b"\n\n",
            b"[[[[[[[[",
        ]);
        let strange = || strange.clone().prop_map(<[u8]>::to_vec);
        prop_oneof![
            16 => Just(Self::AsTheyAre),
            2 => any::<Index>().prop_map(Self::Cut),
            2 => (any::<Index>(), strange()).prop_map(|(at, bytes)| Self::With(at, bytes)),
            1 => (any::<Index>(), 1_usize..8).prop_map(|(at, number)| Self::Without(at, number)),
            1 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Self::Others),
        ]
    }

    /// The bytes afterwards.
    pub(crate) fn suffered_by(self, mut bytes: Vec<u8>) -> Vec<u8> {
        match self {
            Self::AsTheyAre => {}
            Self::Cut(at) => bytes.truncate(at.index(bytes.len() + 1)),
            Self::With(at, others) => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, others);
            }
            Self::Without(at, number) => {
                let at = at.index(bytes.len() + 1);
                bytes.drain(at..(at + number).min(bytes.len()));
            }
            Self::Others(others) => return others,
        }
        bytes
    }
}
