import pytest
import torch

TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}


@pytest.fixture(scope="session")
def make_wav2vec2(tmp_path_factory):
    """`make_wav2vec2(do_normalize=True, **config)`: the folder of a small random model of that class."""
    transformers = pytest.importorskip("transformers")
    from transformers.utils import logging

    logging.disable_progress_bar()

    def make(do_normalize=True, sampling_rate=16_000, **changes):
        folder = tmp_path_factory.mktemp("wav2vec2")
        torch.manual_seed(0)
        model = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**TINY | changes))
        for parameter in model.parameters():  # states that differ from frame to frame
            parameter.data += 0.1 * torch.randn_like(parameter)
        model.save_pretrained(folder)
        transformers.Wav2Vec2FeatureExtractor(do_normalize=do_normalize, sampling_rate=sampling_rate).save_pretrained(
            folder
        )
        return folder

    return make


@pytest.fixture(scope="session")
def wav2vec2(make_wav2vec2):
    """A model that normalizes waves."""
    return make_wav2vec2()
