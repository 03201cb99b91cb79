//! Why a membership ends, and why a relay refuses.

use crate::wire::reason::reasons;

reasons! {
    /// Why somebody is a member no longer.
    LeaveReason {
        /// It wanted to leave.
        Left = 0, "left";
        /// Its link to the relay has gone down, and it did not come back.
        Lost = 1, "lost the connection";
        /// Nothing was heard of it.
        Expired = 2, "fell silent";
        /// The relay has removed it.
        Removed = 3, "was removed";
    }
}

reasons! {
    /// Why a relay does not do as asked.
    Refusal {
        /// The room has another secret.
        WrongSecret = 0, "the room has another secret";
        /// The room has as many members as it may.
        Full = 1, "the room is full";
        /// The relay keeps as many rooms, or the member is in as many, as it may.
        TooManyRooms = 2, "there are too many rooms";
        /// The policy of the relay forbids it.
        NotAllowed = 3, "the relay does not allow it";
        /// The neighbour keeps no rooms.
        NoRooms = 4, "the neighbour keeps no rooms";
        /// Only members may do that.
        NotMember = 5, "we are no member";
        /// It was asked too often.
        TooOften = 6, "it was asked too often";
    }
}
