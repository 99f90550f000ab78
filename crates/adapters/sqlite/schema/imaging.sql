CREATE TABLE studies (
    id BLOB PRIMARY KEY,
    patient BLOB NOT NULL REFERENCES patients (id),
    author BLOB NOT NULL,
    modality TEXT NOT NULL,
    study_uid TEXT,
    performed_on TEXT,
    recorded_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX studies_by_patient ON studies (patient, recorded_at, id);

-- Images lie in the file in the order of their study: they are read together. `object` is the key of the bytes;
-- `no_preview` is the reason why there is nothing to look at. What begins with `dicom_` a DICOM file says of itself.
CREATE TABLE images (
    id BLOB NOT NULL UNIQUE,
    study BLOB NOT NULL REFERENCES studies (id),
    position INTEGER NOT NULL,
    patient BLOB NOT NULL,
    format TEXT NOT NULL,
    object TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    file_name TEXT,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    frames INTEGER NOT NULL,
    no_preview TEXT,
    dicom_patient_id TEXT,
    dicom_study_uid TEXT,
    dicom_series_uid TEXT,
    dicom_instance_uid TEXT,
    dicom_modality TEXT,
    dicom_body_part TEXT,
    dicom_study_date TEXT,
    PRIMARY KEY (study, position)
) STRICT, WITHOUT ROWID;
