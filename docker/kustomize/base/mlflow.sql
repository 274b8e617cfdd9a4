-- Beside the sweeps' own database, which PostgreSQL's image makes.
CREATE DATABASE mlflow;
