"""The few-label judgement of an encoder: few labelled clips of each word teach a classifier, others test it."""
