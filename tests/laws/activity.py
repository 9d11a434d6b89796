"""A1 to A5: which events are counted, and in which row. What each rule costs is counted in the laws of that rule, too."""

from __future__ import annotations

from hwsim.passes import Pass
from tests.laws.implementation import Laws
from tests.laws.runs import EOT, NEVER, event, linear_run, spec


class ActivityLaws(Laws):
    def test_counts_go_to_the_row_of_their_plane_or_pass(self) -> None:
        passes = (Pass(1, "fire", threshold=2, timestep=3),)
        run = linear_run([[1]] * 5, passes, spec(), initial=[0, 1, 2, 3, 4], first_plane=2)
        log = self.execute(run, [event(), EOT])
        assert log.counts.shape[0] == 4
        assert not self.counted(log, 0)
        assert not self.counted(log, 1)
        assert self.counted(log, 2) == self.known({
            "fifo_push": 2, "fifo_pop": 2, "addr_gen": 2 + 2, "weight_read": 2, "membrane_write_clear": 2, "bias_read": 2,
            "membrane_read_accumulate": 2, "membrane_write_accumulate": 2, "buffer_read": 1, "acc_add": 5,
            "reg_bits": 5 * 16, "cycles_busy": 2 + 2 + 1})
        assert self.counted(log, 3) == self.known({
            "addr_gen": 2, "membrane_read_fire": 2, "membrane_write_fire": 2, "cmp": 5, "reset_sub": 4, "spike_out": 4,
            "buffer_write": 4, "reg_bits": 5 * 16, "cycles_busy": 2, "cycles_stall_serialiser": 2})

    def test_each_plane_counts_its_own_tokens(self) -> None:
        passes = (Pass(2, "requant", threshold=1, timestep=1),)
        run = linear_run([[1]] * 7, passes, spec(), clear=False, max_level=7)
        log = self.execute(run, [event(), EOT, event(), event(), EOT])
        wanted = {"fifo_push": [2, 3], "fifo_pop": [2, 3], "acc_add": [7, 14], "requant": [0, 7], "spike_out": [0, 7]}
        assert self.rows(log, *wanted) == wanted

    def test_a_threshold_is_shifted_once_a_pass(self) -> None:
        passes = (Pass(1, "shift"), Pass(1, "fire", threshold=NEVER, shift=1), Pass(1, "fire", threshold=NEVER, timestep=1))
        log = self.execute(linear_run([[1]] * 7, passes, spec(), clear=False), [EOT])
        assert self.counted(log)["threshold_shift"] == 1


class BufferLaws(Laws):
    """A4: the spike buffers around a core, which engines count and the hardware has none of."""

    def test_a_bitmap_plane_is_cleared_in_each_pass_that_fills_it(self) -> None:
        passes = (Pass(1, "shift"), Pass(1, "fire", threshold=NEVER, shift=1), Pass(1, "fire", threshold=NEVER, timestep=1))
        run = linear_run([[1]] * 7, passes, spec(buffer="bitmap", scan_bits=3), clear=False)
        log = self.execute(run, [EOT])
        assert self.rows(log, "buffer_write", "buffer_read") == {"buffer_write": [3, 3], "buffer_read": [0, 0]}

    def test_a_requant_pass_clears_its_plane_too(self) -> None:
        passes = (Pass(2, "requant", threshold=1, timestep=1),)
        run = linear_run([[1]] * 7, passes, spec(buffer="bitmap", scan_bits=3), clear=False, max_level=7)
        log = self.execute(run, [event(), EOT, event(), event(), EOT])
        assert self.rows(log, "buffer_write") == {"buffer_write": [0, 3 + 7]}
