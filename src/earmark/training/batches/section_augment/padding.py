"""Silence after a wave."""

from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn.functional import pad


def padded(wave: Tensor, response: int) -> Tensor:
    """A wave of shape (n,) and so much silence that it is soon convolved with a response of as many samples.

    The Fourier transform of a wave whose length is a large prime takes seven times as long.

    >>> import torch
    >>> len(padded(torch.zeros(15_013), 8000)) + 8000
    23040
    """
    return pad(wave, (0, next_fast_len(len(wave) + response, real=True) - len(wave) - response))
