//! The state of every index, allocated in blocks as indices are first used, and the queue of released ones.
//!
//! Released indices form a doubly linked list inside the slots, so that taking the oldest one and taking a
//! given one from the middle both cost the same few writes.

/// Slots per lazily allocated block.
const BLOCK: usize = 1024;

/// End marker of the linked list; larger than any index.
const NIL: u32 = u32::MAX;

/// What an index is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Never handed out.
    Fresh,
    /// Leased to a client.
    InUse,
    /// Handed out before; waiting in the queue of released indices.
    Released,
    /// Kept for a static assignment, not leased at the moment.
    Reserved,
    /// Kept for a static assignment and leased.
    ReservedInUse,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Hash of the identity that had this index last; 0 when nobody had it.
    owner: u64,
    newer: u32,
    older: u32,
    state: State,
}

const EMPTY: Slot = Slot {
    owner: 0,
    newer: NIL,
    older: NIL,
    state: State::Fresh,
};

/// All slots of one pool.
#[derive(Debug)]
pub(crate) struct Slots {
    blocks: Vec<Option<Box<[Slot]>>>,
    oldest: u32,
    newest: u32,
}

impl Slots {
    /// Room for `size` indices; allocates only the table of blocks.
    pub(crate) fn new(size: u32) -> Self {
        let blocks = (size as usize).div_ceil(BLOCK);
        Self {
            blocks: vec![None; blocks],
            oldest: NIL,
            newest: NIL,
        }
    }

    fn slot(&self, index: u32) -> &Slot {
        let index = index as usize;
        match self.blocks.get(index / BLOCK) {
            Some(Some(block)) => &block[index % BLOCK],
            _ => &EMPTY,
        }
    }

    fn slot_mut(&mut self, index: u32) -> &mut Slot {
        let index = index as usize;
        // Callers pass only indices below the size given to `new`.
        let block = &mut self.blocks[index / BLOCK];
        &mut block.get_or_insert_with(|| vec![EMPTY; BLOCK].into_boxed_slice())[index % BLOCK]
    }

    pub(crate) fn state(&self, index: u32) -> State {
        self.slot(index).state
    }

    /// Changes the state of an index that is not, and will not be, in the queue.
    pub(crate) fn set_state(&mut self, index: u32, state: State) {
        self.slot_mut(index).state = state;
    }

    pub(crate) fn owner(&self, index: u32) -> u64 {
        self.slot(index).owner
    }

    pub(crate) fn set_owner(&mut self, index: u32, owner: u64) {
        self.slot_mut(index).owner = owner;
    }

    /// The index released longest ago.
    pub(crate) fn oldest(&self) -> Option<u32> {
        (self.oldest != NIL).then_some(self.oldest)
    }

    /// Appends an index as the most recently released one.
    pub(crate) fn push_released(&mut self, index: u32) {
        let previous = std::mem::replace(&mut self.newest, index);
        let slot = self.slot_mut(index);
        slot.state = State::Released;
        slot.older = previous;
        slot.newer = NIL;
        match previous {
            NIL => self.oldest = index,
            previous => self.slot_mut(previous).newer = index,
        }
    }

    /// Takes a released index out of the queue, wherever it stands, and gives it a new state.
    pub(crate) fn take_released(&mut self, index: u32, state: State) {
        let slot = self.slot_mut(index);
        let (older, newer) = (slot.older, slot.newer);
        slot.state = state;
        slot.older = NIL;
        slot.newer = NIL;
        match older {
            NIL => self.oldest = newer,
            older => self.slot_mut(older).newer = newer,
        }
        match newer {
            NIL => self.newest = older,
            newer => self.slot_mut(newer).older = older,
        }
    }

    /// Bytes allocated for slots so far.
    #[cfg(test)]
    pub(crate) fn allocated_bytes(&self) -> usize {
        self.blocks.len() * size_of::<Option<Box<[Slot]>>>()
            + self
                .blocks
                .iter()
                .flatten()
                .map(|block| size_of_val(&**block))
                .sum::<usize>()
    }
}
