"""The compiled solver for fields given as terms: values, integration with sensitivities, many candidates at once."""
