//! Messages that are queued or under way: one record each, in a slab that hands used records out again.

/// Where a message's record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(u32);

/// What a message may cost until it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// All that it takes.
    None,
    /// So many retransmissions of a chunk.
    Retransmits(u16),
    /// A time, which the list of expiries has.
    Time,
}

/// One message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    /// Where its bytes begin in the store.
    pub(super) start: u64,
    /// Bytes that it has.
    pub(super) len: u32,
    /// Bytes of it that chunks have been cut of.
    pub(super) cut: u32,
    pub(super) ppid: u32,
    /// Its SSN or MID, from its first chunk on.
    pub(super) number: u32,
    /// The next chunk's FSN.
    pub(super) fragment: u32,
    /// The next one in its stream's queue, or in the list of free records.
    pub(super) next: Option<Id>,
    /// Chunks of it in the ring.
    pub(super) chunks: u32,
    /// Those of them that are not acknowledged.
    pub(super) unacked: u32,
    /// How often its record has been used before.
    pub(super) generation: u32,
    /// Where its stream's record is.
    pub(super) stream: u32,
    pub(super) limit: Limit,
    pub(super) is_unordered: bool,
    /// Whether it is given up: nothing of it is sent any more.
    pub(super) is_abandoned: bool,
    /// Whether it waits in its stream's queue.
    pub(super) is_queued: bool,
}

impl Message {
    pub(super) const fn has_begun(&self) -> bool {
        self.cut > 0
    }

    pub(super) const fn remaining(&self) -> u32 {
        self.len - self.cut
    }

    /// Whether every byte of it has arrived.
    pub(super) const fn is_delivered(&self) -> bool {
        self.cut == self.len && self.unacked == 0
    }
}

/// All messages.
#[derive(Debug, Default)]
pub(super) struct Messages {
    all: Vec<Message>,
    free: Option<Id>,
    live: usize,
}

impl Messages {
    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.live
    }

    /// Takes a message in; its generation is the record's.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "there are fewer than the bound in bytes")]
    pub(super) fn insert(&mut self, message: Message) -> Id {
        self.live += 1;
        let Some(id) = self.free else {
            self.all.push(message);
            return Id(self.all.len() as u32 - 1);
        };
        let record = &mut self.all[id.0 as usize];
        self.free = record.next;
        *record = Message { generation: record.generation, ..message };
        id
    }

    #[inline]
    pub(super) fn get(&self, id: Id) -> &Message {
        &self.all[id.0 as usize]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: Id) -> &mut Message {
        &mut self.all[id.0 as usize]
    }

    /// The message there, if the record still is that message's.
    pub(super) fn find(&self, id: Id, generation: u32) -> Option<&Message> {
        self.all.get(id.0 as usize).filter(|message| message.generation == generation)
    }

    /// Frees the record of a message that nothing refers to any more; whether that is so.
    #[inline]
    pub(super) fn free_unused(&mut self, id: Id) -> bool {
        let message = &mut self.all[id.0 as usize];
        let is_unused = message.chunks == 0 && !message.is_queued;
        if is_unused {
            message.generation = message.generation.wrapping_add(1);
            message.next = self.free;
            self.free = Some(id);
            self.live -= 1;
        }
        is_unused
    }

    /// Gives the memory back when there is none.
    pub(super) fn trim(&mut self) {
        if self.live == 0 {
            *self = Self::default();
        }
    }
}
