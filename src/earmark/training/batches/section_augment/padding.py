"""Padding of a wave to a length at which a convolution by Fourier transform is fast."""

from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn.functional import pad


def padded(wave: Tensor, response: int) -> Tensor:
    """Append zeros to a wave of shape (n,), so that its convolution with ``response`` samples is fast.

    A Fourier transform takes seven times as long if its length is a large prime.

    >>> import torch
    >>> len(padded(torch.zeros(15_013), 8000)) + 8000
    23040
    """
    return pad(wave, (0, next_fast_len(len(wave) + response, real=True) - len(wave) - response))
