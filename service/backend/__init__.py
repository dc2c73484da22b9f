"""Settings, loaded models, metrics and the asynchronous interface of the engine."""
