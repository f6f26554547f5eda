"""A common vocabulary of the chest sets: source → our label → the source's labels that make it.

A label that a source does not list is unknown in its images. Where sets differ in detail the
coarser one decides: nodules and masses are one label because VinDr-CXR and CheXpert do not separate
them. Radiologists marking pneumonia (RSNA) and programs reading it in reports are not
the same reference standard, though they share a name.
"""

_CHEXPERT: dict[str, str | tuple[str, ...]] = {
  'No Finding': 'No Finding',
  'Atelectasis': 'Atelectasis',
  'Cardiomegaly': 'Cardiomegaly',
  'Consolidation': 'Consolidation',
  'Edema': 'Edema',
  'Enlarged Cardiomediastinum': 'Enlarged Cardiomediastinum',
  'Fracture': 'Fracture',
  'Lung Lesion': 'Lung Lesion',
  'Lung Opacity': 'Lung Opacity',
  'Pleural Effusion': 'Pleural Effusion',
  'Pneumonia': 'Pneumonia',
  'Pneumothorax': 'Pneumothorax',
  'Support Devices': 'Support Devices',
}
CHEST: dict[str, dict[str, str | tuple[str, ...]]] = {
  'chexpert': _CHEXPERT,
  'mimic_cxr': _CHEXPERT,
  'phantom': _CHEXPERT,
  'chestxray14': {
    'No Finding': 'No Finding',
    'Atelectasis': 'Atelectasis',
    'Cardiomegaly': 'Cardiomegaly',
    'Consolidation': 'Consolidation',
    'Edema': 'Edema',
    'Emphysema': 'Emphysema',
    'Fibrosis': 'Fibrosis',
    'Hernia': 'Hernia',
    'Infiltration': 'Infiltration',
    'Lung Lesion': ('Mass', 'Nodule'),
    'Pleural Effusion': 'Effusion',
    'Pleural Thickening': 'Pleural_Thickening',
    'Pneumonia': 'Pneumonia',
    'Pneumothorax': 'Pneumothorax',
  },
  'padchest': {
    'No Finding': 'Normal',
    'Atelectasis': 'Atelectasis',
    'Cardiomegaly': 'Cardiomegaly',
    'Consolidation': 'Consolidation',
    'Edema': 'Edema',
    'Emphysema': 'Emphysema',
    'Fibrosis': 'Fibrosis',
    'Fracture': 'Fracture',
    'Hernia': 'Hernia',
    'Infiltration': 'Infiltration',
    'Lung Lesion': ('Mass', 'Nodule'),
    'Pleural Effusion': 'Effusion',
    'Pleural Thickening': 'Pleural_Thickening',
    'Pneumonia': 'Pneumonia',
    'Pneumothorax': 'Pneumothorax',
  },
  'vindr_cxr': {
    'No Finding': 'No finding',
    'Atelectasis': 'Atelectasis',
    'Cardiomegaly': 'Cardiomegaly',
    'Consolidation': 'Consolidation',
    'Edema': 'Edema',
    'Emphysema': 'Emphysema',
    'Fibrosis': 'Pulmonary fibrosis',
    'Fracture': ('Clavicle fracture', 'Rib fracture'),
    'Infiltration': 'Infiltration',
    'Lung Lesion': 'Nodule/Mass',
    'Lung Opacity': 'Lung Opacity',
    'Pleural Effusion': 'Pleural effusion',
    'Pleural Thickening': 'Pleural thickening',
    'Pneumonia': 'Pneumonia',
    'Pneumothorax': 'Pneumothorax',
  },
  'rsna_pneumonia': {
    'No Finding': 'Normal',
    'Lung Opacity': 'Lung Opacity',
    'Pneumonia': 'Pneumonia',
  },
}
