"""Laws of the chip's words: they are those that the Verilog wrote, and a configuration comes back from them as it was."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.cores.odin.configuration import LARGEST
from hwsim.cores.odin.errors import OdinError
from hwsim.cores.odin.verify import arguments_of, read_cases
from hwsim.cores.odin.words import configuration_of, neuron_words, synapse_words
from tests.cores.odin.engines import CASES
from tests.cores.odin.random_chips import draw


def test_synapse_words_are_those_that_the_verilog_writes_back() -> None:
    written = 0
    for case in read_cases(CASES):
        if "log" in case["expect"] and not any(kind == "bist" for kind, *_ in case["expect"]["operations"]):
            words = synapse_words(arguments_of(case)[1])
            for letter, _, *fields in case["expect"]["log"]:
                if letter == "w":
                    assert words[fields[0]] == fields[1]
                    written += 1
    assert written > 300


@pytest.mark.parametrize("seed", range(5))
def test_a_configuration_comes_back_from_its_words(seed: int) -> None:
    chip = draw(seed).configuration
    back = configuration_of(
        neuron_words(chip), synapse_words(chip), chip.inhibitory.tolist(), chip.propagate_unmapped, chip.update_unmapped,
        chip.monitor)
    for name in LARGEST:
        np.testing.assert_array_equal(getattr(back, name), getattr(chip, name))
    assert (back.propagate_unmapped, back.update_unmapped, back.monitor) == (
        chip.propagate_unmapped, chip.update_unmapped, chip.monitor)


def test_a_neuron_word_bit_by_bit() -> None:
    """The documentation's table: model 0, leak 7 to 1, leak on 8, threshold 16 to 9, potential 77 to 70, disabled 127."""
    chip = draw(0).configuration
    for neuron, word in enumerate(neuron_words(chip)):
        bits = f"{word:0128b}"[::-1]
        assert bits[0] == "1"
        assert int(bits[1:8][::-1], 2) == chip.leaks[neuron]
        assert int(bits[8]) == chip.leak_enabled[neuron]
        assert int(bits[9:17][::-1], 2) == chip.thresholds[neuron]
        assert "1" not in bits[17:70] + bits[78:127]
        assert int(bits[70:78][::-1], 2) == chip.potentials[neuron]
        assert int(bits[127]) == chip.disabled[neuron]


def test_izhikevich_neurons_and_learning_are_refused_by_name() -> None:
    chip = draw(0).configuration
    neurons, synapses, signs = neuron_words(chip), synapse_words(chip), chip.inhibitory.tolist()
    neurons[3] &= ~1
    neurons[9] |= 1 << 17
    with pytest.raises(OdinError) as error:
        configuration_of(neurons, synapses, signs)
    first, second = str(error.value).splitlines()
    assert first.startswith("neuron 3: bit 0 is 0, an Izhikevich neuron")
    assert second.startswith("neuron 9: bit 17 is 1, calcium and online learning")
    with pytest.raises(OdinError, match="found 255 words, expected 256"):
        configuration_of(neuron_words(chip)[:255], synapses, signs)
    with pytest.raises(OdinError, match=r"found words of shape \(8191,\)"):
        configuration_of(neuron_words(chip), synapses[:-1], signs)
    with pytest.raises(OdinError, match="neuron 0: found a word of 129 bits"):
        configuration_of([1 << 128, *neuron_words(chip)[1:]], synapses, signs)
