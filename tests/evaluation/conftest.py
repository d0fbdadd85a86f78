from hypothesis import settings

# A shared machine is slow now and then; that is no fault of the code under test.
settings.register_profile("evaluation", deadline=None, max_examples=60)
settings.load_profile("evaluation")
