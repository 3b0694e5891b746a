"""What takes its samples one by one, as rows of one input vector, and refuses other networks by name."""

from flowlab.core.errors import LanguageError
from flowlab.language.inference import brief
from flowlab.language.network import Network


def require_plain(network: Network, what: str) -> None:
    """Refuse a network of other inputs than the vector `x`, or one in which samples meet.

    Args:
        network: what is asked.
        what: who asks, at the beginning of the sentence.

    Raises:
        LanguageError: with what the network has instead.
    """
    others = [name for name in (*network.inputs, *network.constants) if name != "x"]
    if others or len(network.inputs.get("x", ())) != 1:
        told = ", ".join(f"`{name}`" for name in (*network.inputs, *network.constants))
        raise LanguageError(
            f"{what} must have a network of one input vector `x`, got the inputs {told}; join them to one vector."
        )
    if network.mixes_samples:
        raise LanguageError(
            f"{what} must have a network of single samples, got `{brief(network.text)}`, where samples meet; leave out"
            " what goes over samples."
        )
