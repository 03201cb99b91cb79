//! Names for ports and links: an index that keeps tables dense, and a generation that keeps stale names harmless.

macro_rules! id {
    ($name:ident, $word:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            index: u32,
            generation: u32,
        }

        impl $crate::machine::ids::Key for $name {
            fn new(index: u32, generation: u32) -> Self {
                Self { index, generation }
            }

            fn index(self) -> usize {
                self.index as usize
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!($word, " {}.{}"), self.index, self.generation)
            }
        }
    };
}

pub(crate) use id;

id!(PortId, "port", "A port: one socket, dialled, listening or accepted alike, or one name look-up.");
id!(LinkId, "link", "A link: an established message pipe to a neighbour, unique across transports.");

/// What the ids have in common, so that [`Table`] can be keyed by any of them.
pub trait Key: Copy + Eq + Ord {
    /// The id of that index and generation.
    fn new(index: u32, generation: u32) -> Self;
    /// The dense index.
    fn index(self) -> usize;
}

/// The slabs of ports and of links, lent to machines in [`Cx`](super::Cx).
#[derive(Debug, Default)]
pub struct Ids {
    ports: Slab,
    links: Slab,
}

impl Ids {
    /// Empty slabs.
    pub fn new() -> Self {
        Self::default()
    }

    /// A name for a port that the caller is about to open or resolve. Its end releases it.
    pub fn port(&mut self) -> PortId {
        self.ports.take()
    }

    /// A name for a link. Its owner releases it by [`Self::release_link`].
    pub fn link(&mut self) -> LinkId {
        self.links.take()
    }

    /// Gives a link's name back; its index will return with another generation.
    pub fn release_link(&mut self, link: LinkId) {
        self.links.give(link);
    }

    /// Gives a port's name back: only the owner of the sockets knows when a port has ended.
    pub(super) fn release_port(&mut self, port: PortId) {
        self.ports.give(port);
    }
}

/// Gives out ids, and takes them back.
#[derive(Debug, Default)]
pub struct Slab {
    generations: Vec<u32>,
    free: Vec<u32>,
}

impl Slab {
    /// An id that is not in use.
    pub fn take<K: Key>(&mut self) -> K {
        let index = self.free.pop().unwrap_or_else(|| {
            self.generations.push(0);
            (self.generations.len() - 1) as u32
        });
        K::new(index, self.generations[index as usize])
    }

    /// Takes an id back; its index will return with another generation. A stale one is ignored.
    pub fn give<K: Key>(&mut self, id: K) {
        let index = id.index();
        let Some(generation) = self.generations.get_mut(index) else { return };
        if K::new(index as u32, *generation) != id {
            return;
        }
        *generation = generation.wrapping_add(1);
        self.free.push(index as u32);
    }
}

/// A dense table keyed by ids; a stale id finds nothing.
#[derive(Debug)]
pub struct Table<K, T> {
    slots: Vec<Option<(K, T)>>,
    len: usize,
}

impl<K, T> Default for Table<K, T> {
    fn default() -> Self {
        Self { slots: Vec::new(), len: 0 }
    }
}

impl<K: Key, T> Table<K, T> {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many entries there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts an entry in, and answers what was at its index, if anything.
    pub fn insert(&mut self, key: K, value: T) -> Option<T> {
        let index = key.index();
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        let old = self.slots[index].replace((key, value));
        self.len += usize::from(old.is_none());
        old.map(|(_, value)| value)
    }

    /// The entry of `key`.
    pub fn get(&self, key: K) -> Option<&T> {
        match self.slots.get(key.index()) {
            Some(Some((owner, value))) if *owner == key => Some(value),
            _ => None,
        }
    }

    /// The entry of `key`.
    pub fn get_mut(&mut self, key: K) -> Option<&mut T> {
        match self.slots.get_mut(key.index()) {
            Some(Some((owner, value))) if *owner == key => Some(value),
            _ => None,
        }
    }

    /// Whether `key` has an entry.
    pub fn contains(&self, key: K) -> bool {
        self.get(key).is_some()
    }

    /// Takes the entry of `key` out.
    pub fn remove(&mut self, key: K) -> Option<T> {
        self.get(key)?;
        self.len -= 1;
        let (_, value) = self.slots[key.index()].take()?;
        Some(value)
    }

    /// All entries in the order of their indices.
    pub fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        self.slots.iter().flatten().map(|(key, value)| (*key, value))
    }

    /// All keys in the order of their indices.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.slots.iter().flatten().map(|(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_returns_with_another_generation() {
        let mut ids = Ids::new();
        let first = ids.port();
        ids.release_port(first);
        let second = ids.port();
        assert_ne!(first, second);
        assert_eq!(first.index(), second.index());
    }

    #[test]
    fn releasing_a_stale_id_changes_nothing() {
        let mut ids = Ids::new();
        let first = ids.port();
        ids.release_port(first);
        ids.release_port(first);
        assert_ne!(ids.port().index(), ids.port().index());
    }

    #[test]
    fn a_stale_key_finds_nothing_in_a_table() {
        let mut ids = Ids::new();
        let old = ids.link();
        ids.release_link(old);
        let new = ids.link();
        let mut table = Table::new();
        table.insert(new, 'x');
        assert_eq!(table.get(old), None);
        assert_eq!(table.remove(old), None);
        assert_eq!(table.remove(new), Some('x'));
        assert!(table.is_empty());
    }

    #[test]
    fn ids_say_what_they_are() {
        let mut ids = Ids::new();
        assert_eq!(ids.link().to_string(), "link 0.0");
        assert_eq!(ids.port().to_string(), "port 0.0");
    }
}
