"""Functions of scikit-learn, numpy and scipy that specs may name: they compute, and touch neither files nor processes.

numpy's and scipy.special's ufuncs need no entry. Left out on purpose: whatever calls a function it is given
(`numpy.apply_along_axis`, `sklearn.metrics.pairwise_distances_chunked` with `reduce_func`), loads or fetches data,
builds scorers, or fits estimators (`cross_val_score`).
"""

from __future__ import annotations

from typing import Final

__all__ = ["FUNCTIONS"]

_BY_MODULE: Final = {
    "numpy": """
        around array asarray ascontiguousarray average clip column_stack cumprod cumsum diff fliplr max mean median
        min nan_to_num nanmax nanmean nanmedian nanmin nanprod nanstd nansum nanvar prod ptp ravel reshape round sort
        squeeze std sum transpose var vstack
        """,
    "scipy.special": "log_softmax logsumexp softmax",
    "scipy.stats": """
        boxcox gmean gstd hmean iqr kurtosis median_abs_deviation pearsonr rankdata skew spearmanr trim_mean yeojohnson
        zscore
        """,
    "scipy.spatial.distance": """
        braycurtis canberra chebyshev cityblock correlation cosine dice euclidean hamming jaccard jensenshannon
        mahalanobis minkowski rogerstanimoto russellrao seuclidean sokalsneath sqeuclidean yule
        """,
    "sklearn.base": "is_classifier is_regressor",
    "sklearn.feature_selection": """
        chi2 f_classif f_oneway f_regression mutual_info_classif mutual_info_regression r_regression
        """,
    "sklearn.metrics": """
        accuracy_score adjusted_mutual_info_score adjusted_rand_score auc average_precision_score
        balanced_accuracy_score brier_score_loss calinski_harabasz_score class_likelihood_ratios cohen_kappa_score
        completeness_score confusion_matrix consensus_score coverage_error d2_absolute_error_score d2_brier_score
        d2_log_loss_score d2_pinball_score d2_tweedie_score davies_bouldin_score dcg_score euclidean_distances
        explained_variance_score f1_score fbeta_score fowlkes_mallows_score hamming_loss hinge_loss
        homogeneity_score jaccard_score label_ranking_average_precision_score label_ranking_loss log_loss
        matthews_corrcoef max_error mean_absolute_error mean_absolute_percentage_error mean_gamma_deviance
        mean_pinball_loss mean_poisson_deviance mean_squared_error mean_squared_log_error mean_tweedie_deviance
        median_absolute_error mutual_info_score nan_euclidean_distances ndcg_score normalized_mutual_info_score
        precision_score r2_score rand_score recall_score roc_auc_score root_mean_squared_error
        root_mean_squared_log_error silhouette_score top_k_accuracy_score v_measure_score zero_one_loss
        """,
    "sklearn.metrics._scorer": "negative_likelihood_ratio positive_likelihood_ratio",
    "sklearn.metrics.cluster": "entropy",
    "sklearn.metrics.pairwise": """
        additive_chi2_kernel chi2_kernel cosine_distances cosine_similarity euclidean_distances haversine_distances
        laplacian_kernel linear_kernel manhattan_distances nan_euclidean_distances paired_cosine_distances
        paired_euclidean_distances paired_manhattan_distances polynomial_kernel rbf_kernel sigmoid_kernel
        """,
    "sklearn.preprocessing": """
        add_dummy_feature binarize label_binarize maxabs_scale minmax_scale normalize power_transform
        quantile_transform robust_scale scale
        """,
}

FUNCTIONS: Final = frozenset(f"{module}.{name}" for module, names in _BY_MODULE.items() for name in names.split())
